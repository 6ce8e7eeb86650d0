"""A job file: read as Helm reads it, checked against the schema, rendered by Helm."""

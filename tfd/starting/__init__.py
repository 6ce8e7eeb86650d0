"""`tfd init`: a new repository for job files, with the review and the settings of Argo CD."""

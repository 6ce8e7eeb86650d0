"""`tfd workbench`: JupyterLab and TensorBoard on this machine or in a container."""

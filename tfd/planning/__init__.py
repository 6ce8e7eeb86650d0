"""`tfd plan`: how a run scales, before it starts. `model` computes, `inputs` reads, `report` prints."""

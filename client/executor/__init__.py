"""The hospital's executor: claims a study's requests from the local SuperNode and answers them."""

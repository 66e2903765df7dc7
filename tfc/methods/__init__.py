"""The federated methods: one method, one file. `tfc.registries` names them."""

"""The federated methods as TFF processes: distributor, client work, aggregator, finalizer, and what joins them."""

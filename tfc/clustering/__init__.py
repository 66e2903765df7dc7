"""Weight clustering: which kernels, their centroids, training through them, and how many clusters there are."""

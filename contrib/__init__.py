"""Developer tools that live beside the product: benchmarks, repository checks, first steps."""

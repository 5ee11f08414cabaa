"""Models: fetching, loading, running and sampling from them. The only package that imports transformers."""

"""One walk over a file's tree that finds its scopes, calls and blocks; layout is never visited."""

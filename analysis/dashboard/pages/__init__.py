"""One file a page: `content(data, filters)` gives its components; nothing here knows of a server."""

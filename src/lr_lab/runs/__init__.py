"""One run: what it is (`profiles`), making it (`execute`), what it leaves behind (`record`), on disk (`store`) and in
tables (`results`)."""

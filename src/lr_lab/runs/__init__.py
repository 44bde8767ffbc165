"""One run: what it is (`profiles`), making it (`execute`), and what it leaves behind (`records`)."""

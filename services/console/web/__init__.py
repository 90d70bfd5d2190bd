"""The frame of every page: sessions, forms, rendering, languages and times."""

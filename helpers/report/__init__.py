"""How is it told? Tables, charts, words, and the one command that publishes them."""

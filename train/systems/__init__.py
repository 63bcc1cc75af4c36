"""The nets of a recipe, and what one step does to them."""

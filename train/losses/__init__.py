"""Loss functions (estimate, reference) -> scalar, and the discriminators of adversarial losses."""

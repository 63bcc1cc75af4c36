"""Effects, boards and native plugins: they make stages, and are called as pedalboard's are."""

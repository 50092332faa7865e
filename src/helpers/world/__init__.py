"""The miniature world: scenes that are drawn, rendered and captioned; reals and prompts of the mini study."""

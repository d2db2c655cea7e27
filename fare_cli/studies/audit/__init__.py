"""How a judge can be fooled: records changed by program in ways whose right effect on the verdict is known."""

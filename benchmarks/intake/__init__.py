"""How fast feedback comes in: `amends import` beside the bare loading of the very rows that it leaves behind."""

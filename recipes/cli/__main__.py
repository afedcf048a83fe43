"""`python -m recipes.cli …` is `pocketwire …`."""

from recipes.cli import main

main(prog_name="pocketwire")

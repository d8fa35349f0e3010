"""Commands that run and maintain an installation: worker, migrations, release, sweep, SQL prompt."""

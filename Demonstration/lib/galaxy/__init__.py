"""The stand-in for Galaxy: the module names that Gravity starts, and nothing of Galaxy behind them."""

"""`dray replay`: real order history, in the layout of the UCI "Online Retail" data set, through a running system."""

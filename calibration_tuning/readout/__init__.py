"""How a checkpoint's confidence is read: off the uncertainty query alone, or off several signals of the same answer."""

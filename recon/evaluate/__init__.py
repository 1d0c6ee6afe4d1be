"""How good a result is: the field's figures, for scenes and for data sets with truth."""

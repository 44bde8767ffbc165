"""The data sets: which there are (`catalogue`), getting them (`fetch`), and sets of one's own (`custom`)."""

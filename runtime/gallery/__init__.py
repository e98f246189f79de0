"""Everything that Forewarn can say, to look at: drafted, checked, laid out, photographed."""

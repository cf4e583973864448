// Nothing: who builds this target builds the programs that it depends on, in one go.

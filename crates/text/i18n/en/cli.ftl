# What the command line says: its help, and its own few sentences.

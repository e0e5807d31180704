"""What the user wants: configuration files and the command line, checked, layered and explained."""

"""How the open body is made of Anny: its tables, its straight pose, its shape space, its skin, its smaller mesh."""

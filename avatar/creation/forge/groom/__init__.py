"""Hair by the strand, as a groom for film is made: roots, guides, locks, curls, and what escapes them.

Curves are arrays (n, k, 3) of equally many points each, root first, metres. `curves` shapes them, `styles` combs a
head, `face` grows lashes, down and stubble.
"""

//! Which entry answers a request, and why: scope, key, choice, turn, redirects, near misses.

//! CMD: the environment that makes a client use the proxy and trust its CA, and the process itself: spawn, signals, status.

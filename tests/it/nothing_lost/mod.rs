//! What is promised when something goes wrong, tried: killed at any moment, a disk that is full, a second harproxy at work, a
//! terminal that closes. Each holds the product to one sentence: what a client has seen complete is not lost, and a fixture is the
//! old one or the new one.

mod dice;
mod faults;
mod load;
mod locks;
mod shutdown;
mod writers;

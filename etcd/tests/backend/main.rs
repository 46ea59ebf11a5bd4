//! The backend against the machine's own `etcd`, in processes of these tests.

#[cfg(test)]
mod failures;
#[cfg(test)]
mod fences;
#[cfg(test)]
mod member;
#[cfg(test)]
mod moves;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod tls;

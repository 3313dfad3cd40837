//! Service addresses, DNS, ingress.

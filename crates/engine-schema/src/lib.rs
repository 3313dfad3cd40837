//! Generated tables: kinds, fields, list keys, defaults, columns, protobuf numbers.

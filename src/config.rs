//! What the operator decided: resolved, validated, cross-checked.

"""From a law and a table to draws that can be trusted, or to a reason why not."""

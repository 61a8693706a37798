"""Reading and checking of records, shared by both tasks."""

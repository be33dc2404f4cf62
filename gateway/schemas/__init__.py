"""What requests and answers look like: pydantic models for bodies, which validate, and for answers, which document."""

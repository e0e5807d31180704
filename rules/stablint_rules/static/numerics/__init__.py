"""Operations that overflow, underflow or have no finite gradient at a value that can occur."""

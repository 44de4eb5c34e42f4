"""C06 and C17: columns vary, and volumes, missing values and distributions stay as they were."""

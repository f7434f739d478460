"""Values kept by content: blobs, rows, mapped files, shared stores; what memory they may take."""

"""Google's generateContent and embeddings, at the Developer API and at Vertex AI."""

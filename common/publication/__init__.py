"""What a federation publishes: a folder that anybody can check without asking anybody."""
